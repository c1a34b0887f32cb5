/** The place: where frames can be captured now, and what the point there is called. */

export interface CapturePlace {
  /** Name of the point, unique in a run: `container`, `veth`, `bridge`, `uplink`; or what the user calls it. */
  readonly name: string
  /** Path of the network namespace, such as `/proc/123/ns/net` or `/run/netns/blue`; null for the program's own. */
  readonly netns: string | null
  /** Name of the network interface inside that namespace. */
  readonly interfaceName: string
  /** For people and for `if_description`: `eth0 of container web`, `docker0, bridge of network bridge`. */
  readonly description: string
  /** What the interface is, for `if_hardware`: `veth`, `bridge`, `macvlan`, …; nothing where it is not known. */
  readonly hardware?: string
  /** Name of the place behind it on the way out; nothing where that is not known. */
  readonly next?: string
  /** Id of the container that the place belongs to; nothing for places of the host. */
  readonly container?: string
}
