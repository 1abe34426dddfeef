import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { metrics, serveMetrics, type Metric } from '#lib/telemetry/index.ts';

/*
 * The dashboard and the alerts ask for what the portal tells, by the names that a scrape of it has; a query for what is not there
 * shows nothing, and an alert on it is silent for ever.
 */

const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');

const Rules = z.object({
  kind: z.literal('PrometheusRule'),
  spec: z.object({
    groups: z.array(
      z.strictObject({
        name: z.string(),
        rules: z.array(
          z.strictObject({
            alert: z.string().regex(/^Flywheel[A-Za-z]+$/),
            expr: z.string(),
            for: z
              .string()
              .regex(/^\d+[mh]$/)
              .optional(),
            labels: z.strictObject({ severity: z.enum(['critical', 'warning', 'info']) }),
            annotations: z.strictObject({ summary: z.string(), description: z.string() }),
          }),
        ),
      }),
    ),
  }),
});
const Panel = z.object({
  id: z.int(),
  type: z.enum(['row', 'stat', 'timeseries']),
  title: z.string().min(1),
  gridPos: z.object({ x: z.int(), y: z.int(), w: z.int(), h: z.int() }),
  targets: z.array(z.object({ expr: z.string(), legendFormat: z.string() })).default([]),
});
const Dashboard = z.object({ uid: z.literal('flywheel'), panels: z.array(Panel) });

const alerts = Rules.parse(parse(read('alerts.yaml'))).spec.groups.flatMap(({ rules }) => rules);
const { panels } = Dashboard.parse(JSON.parse(read('dashboard.json')));
const queries = panels.flatMap(({ title, targets }) => targets.map((target) => ({ where: title, ...target })));
const expressions = [
  ...alerts.map(({ alert, expr }) => ({ where: alert, expr })),
  ...queries.map(({ where, expr }) => ({ where, expr })),
];

/** What is no metric: functions, aggregations and words of PromQL that are used here. */
const words = new Set('sum max min count by on and or rate increase histogram_quantile absent vector time'.split(' '));
/** Labels that Prometheus or the histogram itself adds. */
const given = new Set(['instance', 'le']);

type Asked = { series: string; labels: string[] };

/** The series that an expression asks for, each with the labels that are said of it, and the labels that it is put together by. */
function asked(expr: string): { series: Asked[]; grouped: string[] } {
  const grouped = [...expr.matchAll(/\b(?:by|on)\s*\(([^)]*)\)/g)].flatMap(([, list = '']) =>
    list.split(',').map((label) => label.trim()),
  );
  const bare = expr
    .replaceAll(/\b(?:by|on)\s*\([^)]*\)/g, ' ')
    .replaceAll(/\[[^\]]*\]/g, ' ')
    .replaceAll(/\b\d[\w.]*/g, ' ');
  const series = [...bare.matchAll(/\b([a-z_]\w*)\s*(?:\{([^}]*)\})?/g)].flatMap(([, name = '', matchers = '']) =>
    words.has(name)
      ? []
      : [{ series: name, labels: [...matchers.matchAll(/(\w+)\s*[=!]~?\s*"/g)].map(([, label = '']) => label) }],
  );
  return { series, grouped };
}

let served: Awaited<ReturnType<typeof serveMetrics>>;
/** The types of what a running registry exposes, by name. */
let exposed: Map<string, string>;

beforeAll(async () => {
  served = await serveMetrics(0, (error) => {
    throw error;
  });
  const text = await (await fetch(`http://127.0.0.1:${served?.port}/metrics`)).text();
  exposed = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]));
});
afterAll(() => served?.stop());

function metricOf(series: string): Metric | undefined {
  const all: Metric[] = Object.values(metrics);
  const exact = all.find(({ name }) => name === series);
  if (exact) return exact.type === 'histogram' ? undefined : exact;
  return all.find(
    ({ name, type }) =>
      type === 'histogram' && /^_(bucket|sum|count)$/.test(series.slice(name.length)) && series.startsWith(name),
  );
}

describe('queries', () => {
  test.each(expressions)('$where asks for what there is: $expr', ({ expr }) => {
    const { series, grouped } = asked(expr);
    expect(series.length).toBeGreaterThan(0);
    const known = new Set(given);
    for (const each of series) {
      const metric = metricOf(each.series);
      expect([each.series, metric !== undefined && exposed.has(metric.name)]).toEqual([each.series, true]);
      for (const label of metric?.labels ?? []) known.add(label);
      expect([each.series, each.labels.filter((label) => !metric?.labels.includes(label))]).toEqual([each.series, []]);
    }
    expect(grouped.filter((label) => !known.has(label))).toEqual([]);
  });

  test('what only grows is asked for as a rate', () => {
    for (const { where, expr } of expressions) {
      const { series } = asked(
        expr
          .replaceAll(/\b(?:rate|increase)\(\s*\w+(?:\{[^}]*\})?\[[^\]]*\]\s*\)/g, ' ')
          .replaceAll(/and on \([^)]*\) \w+/g, ' '),
      );
      const raw = series.filter(({ series: name }) => /_total$|_(bucket|sum|count)$/.test(name));
      expect([where, raw]).toEqual([where, []]);
    }
  });

  test('every metric is shown', () => {
    const shown = new Set(
      queries.flatMap(({ expr }) => asked(expr).series.map(({ series }) => metricOf(series)?.name)),
    );
    expect([...exposed.keys()].filter((name) => !shown.has(name))).toEqual([]);
  });

  test('legends and words name labels that their query has', () => {
    for (const { where, expr, legendFormat } of queries) {
      const { grouped } = asked(expr);
      const named = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label);
      expect([where, named.filter((label) => !grouped.includes(label))]).toEqual([where, []]);
    }
    for (const { alert, expr, annotations } of alerts) {
      const { grouped } = asked(expr);
      const named = [...JSON.stringify(annotations).matchAll(/\$labels\.(\w+)/g)].map(([, label = '']) => label);
      expect([alert, named.filter((label) => !grouped.includes(label))]).toEqual([alert, []]);
    }
  });

  test.each([
    'max(flywheel_queue_due)',
    'rate(flywheel_pass_duration_seconds[5m])',
    'sum by (tenant) (rate(flywheel_deliveries_total[5m]))',
    'rate(flywheel_deliveries_total{tenant="x"}[5m])',
    'rte(flywheel_deliveries_total[5m])',
  ])('a test of %s would fail', (expr) => {
    const { series, grouped } = asked(expr);
    const wrong = series.filter(
      ({ series: name, labels }) => labels.some((label) => !metricOf(name)?.labels.includes(label)) || !metricOf(name),
    );
    expect(wrong.length + grouped.filter((label) => label === 'tenant').length).toBeGreaterThan(0);
  });
});

test('panels have ids of their own and do not lie on each other', () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  for (const [index, { gridPos: a, title }] of panels.entries()) {
    expect([title, a.x + a.w <= 24]).toEqual([title, true]);
    const over = panels
      .slice(index + 1)
      .filter(({ gridPos: b }) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h);
    expect([title, over.map((each) => each.title)]).toEqual([title, []]);
  }
});

test('each alert has a name of its own and says what to do', () => {
  expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length);
  for (const { annotations } of alerts) expect(annotations.description).toMatch(/\.$/);
});
