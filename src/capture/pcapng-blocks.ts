/** pcapng block types: their numbers, how long each is at least, and what is done with them. */

/** Block types (draft-ietf-opsawg-pcapng, section 4). */
export const Block = {
  SectionHeader: 0x0a0d0d0a,
  InterfaceDescription: 1,
  ObsoletePacket: 2,
  SimplePacket: 3,
  NameResolution: 4,
  InterfaceStatistics: 5,
  EnhancedPacket: 6,
  JournalExport: 9,
  Custom: 0xbad,
  CustomNotCopied: 0x40000bad,
} as const

/** A block's type and its length on both sides. */
export const EMPTY_BLOCK_BYTES = 12

export function isPacketBlock(type: number): boolean {
  return type === Block.EnhancedPacket || type === Block.SimplePacket || type === Block.ObsoletePacket
}

/** Whether anything is read of a block of this type; all others are stepped over unseen. */
export function isRead(type: number): boolean {
  return (type >= Block.InterfaceDescription && type <= Block.EnhancedPacket) || type === Block.SectionHeader
}

/** Whether Wireshark shows this block as a frame, so that it counts in `frame.number`, although it is no packet. */
export function isFrameOfWireshark(type: number): boolean {
  return type === Block.Custom || type === Block.CustomNotCopied || type === Block.JournalExport
}

/** Length of a block with all its fixed fields and no data, in bytes. */
export function minimumBytes(type: number): number {
  switch (type) {
    case Block.EnhancedPacket:
    case Block.ObsoletePacket:
      return 32
    case Block.SectionHeader:
      return 28
    case Block.InterfaceStatistics:
      return 24
    case Block.InterfaceDescription:
      return 20
    case Block.SimplePacket:
      return 16
    default:
      return EMPTY_BLOCK_BYTES
  }
}
