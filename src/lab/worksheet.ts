/** The worksheet: exercises from easy to hard as Markdown, and for the teacher with their solutions. */

import { FAULTS, type Fault } from './faults.ts'
import type { Scenario } from './scenario.ts'
import { SCENARIOS } from './scenarios.ts'

interface Exercise {
  readonly scenario: string
  readonly question: string
  readonly answer: string
}

/** About what works; the order is from easy to hard. */
const EXERCISES: readonly Exercise[] = [
  {
    scenario: 'bridge',
    question:
      'Which fields of the packet are different at container2 and container1? Why is the TTL the same?',
    answer: 'None: docker0 is a switch. Only a router takes one off the TTL and replaces MAC addresses.',
  },
  {
    scenario: 'outbound',
    question: 'Where does the TTL fall, and which address does the server believe to talk to?',
    answer:
      'Between bridge and uplink, where the host routes: 64 becomes 63. The server sees the host (and with the router’s NAT: the router), as MASQUERADE replaced 172.17.0.2.',
  },
  {
    scenario: 'published',
    question: 'Which end of the packet is rewritten, and which rule in which chain does it?',
    answer:
      'The destination: 192.168.78.100:8080 becomes 172.17.0.2:80, by the DNAT rule in the chain DOCKER of the table nat.',
  },
  {
    scenario: 'udp-ping',
    question: 'A ping has no ports. How does the host know which container an answer is for?',
    answer: 'By the identifier of the echo request, which connection tracking uses in place of a port.',
  },
  {
    scenario: 'ttl',
    question: 'Who sends the ICMP errors? How could you find all routers to a server that way?',
    answer:
      'First the host (172.17.0.1), then the router (192.168.78.1). traceroute sends TTL 1, 2, 3 … and notes who complains.',
  },
  {
    scenario: 'double-nat',
    question: 'Write down source address and TTL of the SYN at each point. Where is which mapping kept?',
    answer:
      '172.17.0.2 TTL 64, from the uplink on 192.168.78.100 TTL 63, from the router on 203.0.113.1 TTL 62. The first mapping is in the host’s connection tracking, the second in the router’s.',
  },
  {
    scenario: 'port-collision',
    question: 'Both containers use port 40000. What does the server see, and how do answers find their way?',
    answer:
      'Two different ports of 192.168.78.100: the second connection gets another one. Answers are told apart by that port.',
  },
  {
    scenario: 'hairpin',
    question: 'Why must the source be rewritten as well, when container1 asks for its own published port?',
    answer:
      'Else the packet would come back to container1 with its own address as the source: it would not be taken for one from outside.',
  },
  {
    scenario: 'dns',
    question: 'container3 asks 127.0.0.11:53. On which port does Docker’s server listen, and who knows that?',
    answer:
      'On 38765 here, and on any free one in a lab with --docker: NAT rules inside of the container’s own namespace (DOCKER_OUTPUT) lead there.',
  },
  {
    scenario: 'fragments',
    question: 'Why does a router with NAT have to put fragments together before it can translate them?',
    answer: 'Only the first fragment has the UDP header with the ports, which are part of the mapping.',
  },
  {
    scenario: 'overlay',
    question:
      'Which addresses and ports does a machine between the two hosts see? Where does the MTU of 1450 come from?',
    answer:
      '192.168.78.100 → 192.168.78.101, UDP port 4789. Ethernet 14, IP 20, UDP 8 and VXLAN 8 bytes make 50 that 1500 lacks.',
  },
  {
    scenario: 'proxy',
    question: 'How many connections are there, and which address does container2 see?',
    answer: 'Two: to docker-proxy on 127.0.0.1:8081, and from docker-proxy (172.17.0.1) to 172.17.0.3:80.',
  },
]

/** The text of the worksheet; `withSolutions` for the teacher. */
export function renderWorksheet(withSolutions: boolean): string {
  const exercises = EXERCISES.map((one, i) => exerciseText(one, i + 1, withSolutions))
  const faults = FAULTS.map((fault, i) => faultText(fault, EXERCISES.length + i + 1, i + 1, withSolutions))
  return `# Networks of containers: ${withSolutions ? 'exercises with solutions' : 'exercises'}

Build the lab with \`sudo hoptrace lab up\`; \`sudo hoptrace lab down\` removes it. It needs neither Docker nor the internet.
\`hoptrace lab list\` shows what it can do; \`sudo hoptrace lab shell container1\` is a shell in a container's network.

\`\`\`
container1 172.17.0.2 ─┬─ docker0 ─┐
container2 172.17.0.3 ─┘           ├─ host 192.168.78.100 ─┬─ router ─ 203.0.113.1 ─── internet 203.0.113.10
container3 172.18.0.2 ─── br-… ────┘                       │
                                     host2 192.168.78.101 ─┘
\`\`\`

## What happens to a packet

${exercises.join('\n')}
## What is broken

Somebody else types the command that introduces the fault. Find it with \`lab run\`, \`lab shell\` and \`hoptrace capture\`;
\`sudo hoptrace lab check "your answer"\` tells, \`sudo hoptrace lab fix\` heals. With \`lab break --random --secret\` nobody knows.

${faults.join('\n')}`
}

function exerciseText({ scenario, question, answer }: Exercise, number: number, isSolved: boolean): string {
  const { title, lookFor } = SCENARIOS.find(({ name }) => name === scenario) as Scenario
  const solution = isSolved
    ? `\n**Solution.** ${answer}\n${lookFor.map((line) => `- ${line}`).join('\n')}\n`
    : ''
  return `### ${number}. ${title}\n\n    sudo hoptrace lab run ${scenario} -w ${scenario}.pcapng\n\n${question}\n${solution}`
}

/** The command names the fault: whoever works on it gets only its number from the teacher. */
function faultText(
  { name, symptom, scenario, solution }: Fault,
  number: number,
  nth: number,
  isSolved: boolean,
): string {
  const teacher = isSolved
    ? `\n    sudo hoptrace lab break ${name} --secret\n\n**Solution.** ${solution}\n`
    : ''
  const first = symptom[0]!.toUpperCase() + symptom.slice(1)
  return `### ${number}. Fault ${nth}\n\n${first}. See \`lab run ${scenario}\`.\n${teacher}`
}
