/** The lab's packet filter: the rules that Docker 20 to 27 makes for such networks, in the form of `iptables-save`. */

import { STATIONS, type Station, USER_BRIDGE } from './stations.ts'

const WEB = STATIONS.container1.ip
const PROXIED = STATIONS.container2.ip

const HOST = `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
${forwarding(USER_BRIDGE)}
${forwarding('docker0')}
-A DOCKER -d ${WEB}/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER -d ${PROXIED}/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i ${USER_BRIDGE} ! -o ${USER_BRIDGE} -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o ${USER_BRIDGE} -j DROP
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.18.0.0/16 ! -o ${USER_BRIDGE} -j MASQUERADE
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s ${WEB}/32 -d ${WEB}/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A POSTROUTING -s ${PROXIED}/32 -d ${PROXIED}/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination ${WEB}:80
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination ${PROXIED}:80
COMMIT
`

/** What Docker allows of a bridge's traffic. */
function forwarding(bridge: string): string {
  return `-A FORWARD -o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o ${bridge} -j DOCKER
-A FORWARD -i ${bridge} ! -o ${bridge} -j ACCEPT
-A FORWARD -i ${bridge} -o ${bridge} -j ACCEPT`
}

const ROUTER = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -i wan0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.168.78.100:8080
-A POSTROUTING -s 192.168.78.0/24 -o wan0 -j MASQUERADE
COMMIT
`

/** Where Docker's DNS server listens inside of a container; it takes what ports are free. */
export const DNS_PORT = 38_765

/** How Docker brings what a container asks of 127.0.0.11:53 to its DNS server. */
const EMBEDDED_DNS = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER_OUTPUT - [0:0]
:DOCKER_POSTROUTING - [0:0]
-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT
-A POSTROUTING -d 127.0.0.11/32 -j DOCKER_POSTROUTING
-A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:${DNS_PORT}
-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p udp -m udp --sport ${DNS_PORT} -j SNAT --to-source :53
COMMIT
`

/** What `iptables-restore` is to be given, by station. */
export const RULES: Partial<Record<Station, string>> = {
  host: HOST,
  router: ROUTER,
  container3: EMBEDDED_DNS,
}
