import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { receiveDescriptor, sendDescriptor } from '../../../src/capture/live/descriptor-passing.ts'
import { systemCalls } from '../../../src/capture/live/system.ts'

const O_CLOEXEC = 0o2000000

function flagsOf(fd: number): number {
  return Number.parseInt(/^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))![1]!, 8)
}

describe.skipIf(process.platform !== 'linux')('descriptor passing', () => {
  test('gives a duplicate that programs do not inherit', () => {
    const [one, other] = systemCalls().socketpair()
    const file = openSync(import.meta.filename, 'r')
    sendDescriptor(one, file)
    const { ino } = fstatSync(file)
    closeSync(file)
    const received = receiveDescriptor(other)!
    onTestFinished(() => {
      for (const fd of [one, other, received]) closeSync(fd)
    })
    expect(fstatSync(received).ino).toBe(ino)
    for (const fd of [one, other, received]) expect(flagsOf(fd) & O_CLOEXEC).toBe(O_CLOEXEC)
  })

  test('keeps the order, and has none where none was sent or the other side has gone', () => {
    const [one, other] = systemCalls().socketpair()
    expect(receiveDescriptor(other)).toBeNull()
    const files = [import.meta.filename, '/dev/null'].map((path) => openSync(path, 'r'))
    for (const file of files) sendDescriptor(one, file)
    const received = files.map(() => receiveDescriptor(other)!)
    expect(received.map((fd) => fstatSync(fd).ino)).toEqual(files.map((fd) => fstatSync(fd).ino))
    closeSync(one)
    expect(receiveDescriptor(other)).toBeNull()
    for (const fd of [...files, ...received, other]) closeSync(fd)
  })

  test('says so where nobody takes what is sent, or nobody is there', () => {
    const [one, other] = systemCalls().socketpair()
    expect(() => {
      for (let i = 0; i < 100_000; i++) sendDescriptor(one, 0)
    }).toThrow('sendmsg: EAGAIN')
    closeSync(other)
    expect(() => sendDescriptor(one, 0)).toThrow(/sendmsg: (EPIPE|ECONNRESET)/)
    closeSync(one)
  })
})
