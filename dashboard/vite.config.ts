import react from '@vitejs/plugin-react';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// MYX_URL: the MyX whose API `vite dev` passes requests on to.
const api = process.env.MYX_URL ?? 'http://127.0.0.1:8470';

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    outDir: process.env.MYX_DASHBOARD_OUT ?? 'dist',
    emptyOutDir: true,
    sourcemap: false,
    // No data: addresses, so that the policy of the page needs none for scripts and fonts.
    assetsInlineLimit: 0,
    // Browsers of 2024 and later: `light-dark()` and nesting go out as they are written.
    target: ['chrome123', 'edge123', 'firefox120', 'safari17.5'],
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { '/api': { target: api, ws: true }, '/healthz': api, '/readyz': api } },
  test: { environment: 'jsdom', include: ['src/**/*.test.{ts,tsx}'] },
});
