import { describe, expect, it } from 'vitest';
import type { CaseResult, Results } from '../../../bench/harness/results.ts';
import { changesBetween } from '../../../bench/reporting/compare.ts';
import { renderPage } from '../../../bench/reporting/page.ts';
import { renderTables } from '../../../bench/reporting/table.ts';

function measured(id: string, title: string, rates: readonly number[]): CaseResult {
  return {
    id,
    title,
    samples: rates.map((rate) => ({
      rate,
      latency: { p50: 1, p90: 2, p99: 3, p999: 4 },
      bytesPerSecond: rate * 1024,
      cpu: 1e6 / rate,
      serverLoad: 1,
      generatorLoad: 0.5,
      foreignLoad: 0,
      rss: 100e6,
      errors: 0,
    })),
  };
}

function resultsOf(cases: readonly CaseResult[]): Results {
  return {
    format: 1,
    date: '2026-01-01T00:00:00.000Z',
    quick: false,
    machine: { cpu: 'CPU <1>', cores: 2, memoryGb: 8, node: 'v26', pinned: true },
    scenarios: [{ id: 'warm', title: 'Warm', note: 'A note', cases }],
    absent: [{ title: 'nginx', why: 'not installed' }],
    footprint: null,
  };
}

const bare = measured('bare', 'bare proxy', [20_000, 20_100, 19_900]);

describe('the report', () => {
  it('judges a goal by the ratio of its rounds', () => {
    const good = resultsOf([measured('warm', 'gateway', [16_000, 16_100, 15_900]), bare]);
    const bad = resultsOf([measured('warm', 'gateway', [10_000, 10_100, 9_900]), bare]);
    const line = (results: Results) =>
      renderTables(results)
        .split('\n')
        .find((text) => text.includes('audit async ÷ bare proxy, requests'));
    expect(line(good)).toMatch(/^met .* 0\.80 /);
    expect(line(bad)).toMatch(/^missed .* 0\.50 /);
  });

  it('says who was not measured', () => {
    expect(renderTables(resultsOf([bare]))).toContain('not measured: nginx (not installed)');
  });

  it('is one page that loads nothing and escapes what it shows', () => {
    const page = renderPage(resultsOf([measured('warm', 'gateway', [16_000, 16_100, 15_900]), bare]));
    expect(page).not.toMatch(/<script|<link|src=|@import|url\((?!#)/);
    expect(page).toContain('CPU &#60;1&#62;');
    expect(page.match(/<svg/g)).toHaveLength(3);
    expect(page).toContain('prefers-color-scheme: dark');
  });
});

describe('the comparison of two runs', () => {
  const change = (before: readonly CaseResult[], after: readonly CaseResult[]) =>
    changesBetween(resultsOf(before), resultsOf(after)).find(
      ({ id, figure }) => id === 'warm' && figure === 'per second',
    );

  it('calls a change real that is larger than its spread', () => {
    const found = change(
      [measured('warm', 'gateway', [10_000, 10_050, 9_950]), bare],
      [measured('warm', 'gateway', [12_000, 12_050, 11_950]), bare],
    );
    expect(found?.change).toBeCloseTo(0.2);
    expect(found?.real).toBe(true);
  });

  it('does not call noise real', () => {
    const found = change(
      [measured('warm', 'gateway', [8_000, 10_000, 12_000]), bare],
      [measured('warm', 'gateway', [9_000, 10_800, 13_000]), bare],
    );
    expect(found?.real).toBe(false);
  });

  it('takes the drift of the machine out by the bare proxy', () => {
    const found = change(
      [measured('warm', 'gateway', [10_000, 10_050, 9_950]), bare],
      [
        measured('warm', 'gateway', [5_000, 5_025, 4_975]),
        measured('bare', 'bare proxy', [10_000, 10_050, 9_950]),
      ],
    );
    expect(found?.change).toBeCloseTo(0);
    expect(found?.real).toBe(false);
  });
});
