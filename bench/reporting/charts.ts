import { type EChartsOption, init } from 'echarts';
import type { CaseResult } from '../harness/results.ts';
import { estimate, median } from '../harness/statistics.ts';

const WIDTH = 860;
const ROW = 34;

/** Stands for the page's own text colour, which differs between light and dark. */
const TEXT = '#010203';
const LINES = '#8a8f98';

const GATEWAY = '#3f87d6';
const OTHERS = '#9aa3ad';
const PARTS = ['#2f9e73', '#d9a326', '#d0603a'];

/** CPU time per answer. */
export function cpuChart(cases: readonly CaseResult[]): string {
  const list = cases.toReversed();
  const values = list.map((one) => estimate(one.samples.map(({ cpu }) => cpu)));
  return render(list, {
    ...base(list, 'CPU µs per answer, all processes and threads'),
    series: [
      {
        type: 'bar',
        barWidth: 16,
        data: values.map(({ median: value }, i) => ({
          value: Number(value.toFixed(1)),
          itemStyle: { color: isGateway(list[i]) ? GATEWAY : OTHERS },
        })),
        label: { show: true, position: 'right', color: TEXT, fontSize: 11 },
      },
    ],
  });
}

/** Answers per second, the same way. */
export function rateChart(cases: readonly CaseResult[]): string {
  const list = cases.toReversed();
  return render(list, {
    ...base(list, 'per second'),
    series: [
      {
        type: 'bar',
        barWidth: 16,
        data: list.map((one) => ({
          value: Math.round(median(one.samples.map(({ rate }) => rate))),
          itemStyle: { color: isGateway(one) ? GATEWAY : OTHERS },
        })),
        label: { show: true, position: 'right', color: TEXT, fontSize: 11 },
      },
    ],
  });
}

/** Latencies on a logarithmic scale: p50, p99 and p99.9 of each case. */
export function latencyChart(cases: readonly CaseResult[]): string {
  const list = cases.toReversed();
  const figures = ['p50', 'p99', 'p999'] as const;
  const option = base(list, 'milliseconds (p50, p99, p99.9)');
  return render(list, {
    ...option,
    xAxis: { ...option.xAxis, type: 'log' },
    series: figures.map((figure, i) => ({
      type: 'scatter' as const,
      name: figure === 'p999' ? 'p99.9' : figure,
      symbolSize: 11,
      itemStyle: { color: PARTS[i] ?? OTHERS },
      data: list.map((one, row) => [
        Math.max(0.01, median(one.samples.map(({ latency }) => latency[figure]))),
        row,
      ]),
    })),
    legend: { top: 0, right: 0, textStyle: { color: TEXT, fontSize: 11 } },
  });
}

function isGateway(one: CaseResult | undefined): boolean {
  return one !== undefined && !/bare proxy|bare node|hello|nginx|HAProxy|Fastify|Express/.test(one.title);
}

function base(list: readonly CaseResult[], name: string) {
  return {
    animation: false,
    grid: { left: 260, right: 70, top: 26, bottom: 40 },
    xAxis: {
      type: 'value' as const,
      name,
      nameLocation: 'middle' as const,
      nameGap: 26,
      nameTextStyle: { color: TEXT, fontSize: 11 },
      axisLabel: { color: TEXT, fontSize: 11 },
      splitLine: { lineStyle: { color: LINES, opacity: 0.3 } },
    },
    yAxis: {
      type: 'category' as const,
      data: list.map(({ title }) => title),
      axisLabel: { color: TEXT, fontSize: 12, width: 245, overflow: 'truncate' as const },
      axisLine: { lineStyle: { color: LINES } },
      axisTick: { show: false },
    },
  };
}

/** SVG text, drawn without a browser. */
function render(list: readonly CaseResult[], option: EChartsOption): string {
  const chart = init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: WIDTH,
    height: 76 + list.length * ROW,
  });
  chart.setOption(option);
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg.replaceAll(TEXT, 'currentColor');
}
