/** Builds the page: one script and one style, which `src/page/markup.ts` puts into one HTML file. */

import { defineConfig } from 'vite'
import { browserOnly } from './browser-only.ts'
import { licenses } from './licenses.ts'

export default defineConfig({
  root: import.meta.dirname,
  build: {
    outDir: '../../../dist/web',
    emptyOutDir: true,
    target: ['chrome123', 'firefox128', 'safari17.5'],
    modulePreload: false,
    cssCodeSplit: false,
    chunkSizeWarningLimit: 400,
    reportCompressedSize: false,
    rollupOptions: {
      input: 'src/report/web/main.tsx',
      output: { entryFileNames: 'page.js', assetFileNames: 'page.[ext]', codeSplitting: false },
    },
  },
  plugins: [browserOnly(), licenses()],
  logLevel: 'warn',
})
