/** UDP ports behind which tunnels are looked for: the usual ones, and those that the user names. */

export type UdpTunnel = 'vxlan' | 'geneve' | 'gtpu'

export const UDP_TUNNELS: readonly UdpTunnel[] = ['vxlan', 'geneve', 'gtpu']

/** Destination port → tunnel. 8472 is what Linux and flannel use for VXLAN where they are not told otherwise. */
export const USUAL_TUNNEL_PORTS: ReadonlyMap<number, UdpTunnel> = new Map([
  [4789, 'vxlan'],
  [8472, 'vxlan'],
  [6081, 'geneve'],
  [2152, 'gtpu'],
])
