#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'

// Decoding is many small functions, one after the other: inlining them all takes a third off the time of reading.
// (An option of V8's, not of Node's: newer ones than were tried may not have it.)
if (Number.parseInt(process.versions.node, 10) <= 24)
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=9000')
await import('../dist/cli.js')
