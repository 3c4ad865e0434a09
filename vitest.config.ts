import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/setup/temporary-folder.ts', 'test/setup/system-programs.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Integration tests start whole gateways; two at once is what a small machine bears.
    maxWorkers: 2,
  },
});
