#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'

// Decoding is many small functions, one after the other: inlining them all makes a long analysis twice as fast.
setFlagsFromString('--max-inlined-bytecode-size-cumulative=4000')
await import('../dist/cli.js')
