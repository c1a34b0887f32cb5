declare module 'pcap-parser' {
  interface Packet {
    header: {
      timestampSeconds: number
      timestampMicroseconds: number
      capturedLength: number
      originalLength: number
    }
    data: Buffer
  }
  interface Parser {
    on(event: 'packet', listener: (packet: Packet) => void): this
    on(event: 'end', listener: () => void): this
    on(event: 'error', listener: (error: Error) => void): this
  }
  const pcapParser: { parse(input: import('node:stream').Readable): Parser }
  export default pcapParser
}
