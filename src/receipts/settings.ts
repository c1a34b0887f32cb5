/** Settings: the switches of a namespace that decide whether and where packets go on. */

import type { InterfaceReceipt, Setting } from './model.ts'

/** Reads a file of the namespace; null where that can't be done. */
export type ReadText = (path: string) => string | null

/** Name → number. */
export type Settings = ReadonlyMap<string, number>

const GENERAL = [
  'net.ipv4.ip_forward',
  'net.ipv4.ip_default_ttl',
  'net.ipv4.ip_no_pmtu_disc',
  'net.ipv4.icmp_ratelimit',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.tcp_max_syn_backlog',
  'net.ipv4.tcp_mtu_probing',
  'net.ipv4.neigh.default.gc_thresh3',
  'net.ipv6.conf.all.forwarding',
  'net.ipv6.conf.all.disable_ipv6',
  'net.core.somaxconn',
  'net.bridge.bridge-nf-call-iptables',
  'net.bridge.bridge-nf-call-ip6tables',
  'net.netfilter.nf_conntrack_max',
  'net.netfilter.nf_conntrack_buckets',
  'net.netfilter.nf_conntrack_acct',
  'net.netfilter.nf_conntrack_checksum',
  'net.netfilter.nf_conntrack_tcp_be_liberal',
  'net.netfilter.nf_conntrack_tcp_loose',
]
const OF_INTERFACE = ['forwarding', 'rp_filter', 'route_localnet', 'accept_local', 'proxy_arp']
/** The kernel keeps some of them for `all`, which holds for each interface. */
const ALL = 'all'

/** Those that are there; with those of `interfaces` and of all. */
export function readSettings(read: ReadText, interfaces: readonly string[]): Settings {
  const settings = new Map<string, number>()
  const note = (name: string, path: string) => {
    const text = read(path)?.trim()
    if (text !== undefined && /^-?\d{1,15}$/.test(text)) settings.set(name, Number(text))
  }
  // Names of interfaces hold dots: only what stands here is turned into a path.
  for (const name of GENERAL) note(name, `/proc/sys/${name.replaceAll('.', '/')}`)
  for (const one of [ALL, ...interfaces]) {
    for (const last of OF_INTERFACE)
      note(`net.ipv4.conf.${one}.${last}`, `/proc/sys/net/ipv4/conf/${one}/${last}`)
    if (one !== ALL) note(`net.ipv6.conf.${one}.forwarding`, `/proc/sys/net/ipv6/conf/${one}/forwarding`)
  }
  return settings
}

/** All as they are at the end; those that changed with what they were. */
export function compareSettings(before: Settings, after: Settings): Setting[] {
  return [...after].map(([name, value]) => {
    const earlier = before.get(name)
    return earlier === undefined || earlier === value ? { name, value } : { name, value, before: earlier }
  })
}

/** What holds at an interface (Documentation/networking/ip-sysctl.rst). */
export function settingsAt(
  read: ReadText,
): (name: string) => Pick<InterfaceReceipt, 'rpFilter' | 'forwarding4' | 'forwarding6' | 'routeLocalnet'> {
  const value = (version: 4 | 6, name: string, last: string) => {
    const text = read(`/proc/sys/net/ipv${version}/conf/${name}/${last}`)
    return text === null ? null : Number(text)
  }
  const allRpFilter = value(4, ALL, 'rp_filter')
  const allLocalnet = value(4, ALL, 'route_localnet')
  return (name) => {
    const rpFilter = value(4, name, 'rp_filter')
    const localnet = value(4, name, 'route_localnet')
    return {
      rpFilter: rpFilter === null ? null : Math.max(rpFilter, allRpFilter ?? 0),
      forwarding4: isOn(value(4, name, 'forwarding')),
      forwarding6: isOn(value(6, name, 'forwarding')),
      routeLocalnet: localnet === null ? null : localnet > 0 || (allLocalnet ?? 0) > 0,
    }
  }
}

function isOn(value: number | null): boolean | null {
  return value === null ? null : value > 0
}
