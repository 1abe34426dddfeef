import type PDFDocument from 'pdfkit';
import { csvLine, type Cell } from '#lib/csv.ts';
import { env } from '#lib/env.ts';
import { notFound } from '#lib/errors.ts';
import { payerBySlug } from './close.ts';
import { csvType, fileResponse } from './export.ts';
import { Period } from './period.ts';
import { statementOf, type Statement, type StatementLine } from './statement.ts';

/** A month's statement as a file: a PDF to send, or its lines as CSV. */
export async function statementFile(slug: string, period: string, format: string, now: Date): Promise<Response> {
  const parsed = Period.safeParse(period);
  if (!parsed.success) throw notFound('This month');
  const statement = await statementOf(await payerBySlug(slug), parsed.data, now);
  const name = `statement-${slug}-${parsed.data}${statement.closed ? '' : '-draft'}`;
  if (format === 'csv') return fileResponse(statementCsv(statement), `${name}.csv`, csvType);
  return fileResponse(new Uint8Array(await statementPdf(statement)), `${name}.pdf`, 'application/pdf');
}

const columns = [
  'key',
  'kind',
  'period',
  'description',
  'quantity',
  'unit',
  'unit_price',
  'list_cost',
  'cost',
  'currency',
];

export function statementCsv({ lines, currency }: Pick<Statement, 'lines' | 'currency'>): string {
  const decimal = (value: { toFixed(digits?: number): string } | null, digits?: number): Cell =>
    value === null ? null : { decimal: value.toFixed(digits) };
  const rows = lines.map((line): Cell[] => [
    line.key,
    line.kind,
    line.period,
    line.description,
    decimal(line.quantity),
    line.unit,
    decimal(line.unitPrice),
    decimal(line.listCost, 2),
    decimal(line.contractedCost, 2),
    currency,
  ]);
  return [columns, ...rows].map((row) => csvLine(row)).join('');
}

const margin = 48;
const ink = '#17181c';
const faint = '#65676f';
/** Where each column ends, from the left edge of the text. */
const edges = { quantity: 330, price: 420, cost: 499 };

/** One page or more of A4. The standard fonts know no letters beyond Latin 1: others are shown as question marks. */
export async function statementPdf(statement: Statement): Promise<Buffer> {
  const title = `Statement ${statement.period}`;
  // Read when a statement is asked for: a worker closes months and draws nothing.
  const { default: PdfDocument } = await import('pdfkit');
  const pdf = new PdfDocument({
    size: 'A4',
    margin,
    info: { Title: title, Author: env().FLYWHEEL_INVOICE_ISSUER },
    bufferPages: true,
  });
  const chunks: Buffer[] = [];
  const done = new Promise<Buffer>((resolve, reject) => {
    pdf.on('data', (chunk: Buffer) => chunks.push(chunk));
    pdf.on('end', () => resolve(Buffer.concat(chunks)));
    pdf.on('error', reject);
  });
  head(pdf, statement, title);
  for (const line of statement.lines) lineOf(pdf, line, statement.currency);
  foot(pdf, statement);
  pdf.end();
  return done;
}

type Pdf = InstanceType<typeof PDFDocument>;

function latin(text: string): string {
  return text.replaceAll(/[^\u0020-\u00ff]/g, '?');
}

function head(pdf: Pdf, { tenant, period, closed }: Statement, title: string): void {
  pdf.font('Helvetica-Bold').fontSize(20).fillColor(ink).text(title);
  pdf.font('Helvetica').fontSize(10).fillColor(faint);
  pdf.text(latin(`${env().FLYWHEEL_INVOICE_ISSUER} to ${tenant.displayName} (${tenant.slug})`));
  pdf.text(
    closed ? `Number ${closed.number}, closed ${closed.at.slice(0, 10)}` : `Draft of ${period}: nothing of it is final`,
  );
  pdf.moveDown(1.5);
  row(pdf, ['What', 'Quantity', 'Price of one', 'Amount'], { bold: true });
  rule(pdf);
}

function rule(pdf: Pdf): void {
  pdf
    .moveTo(margin, pdf.y)
    .lineTo(pdf.page.width - margin, pdf.y)
    .strokeColor('#8a8a94')
    .lineWidth(0.5)
    .stroke();
  pdf.moveDown(0.4);
}

function row(pdf: Pdf, [what, quantity, price, cost]: [string, string, string, string], { bold = false } = {}): void {
  // A row that would not fit begins the next page.
  if (pdf.y > pdf.page.height - margin - 40) pdf.addPage();
  const top = pdf.y;
  pdf
    .font(bold ? 'Helvetica-Bold' : 'Helvetica')
    .fontSize(9)
    .fillColor(ink);
  const right = (text: string, edge: number, width: number) =>
    pdf.text(text, margin + edge - width, top, { width, align: 'right' });
  right(quantity, edges.quantity, 110);
  right(price, edges.price, 85);
  right(cost, edges.cost, 75);
  pdf.text(latin(what), margin, top, { width: 210 });
  pdf.moveDown(0.5);
  pdf.x = margin;
}

function lineOf(pdf: Pdf, line: StatementLine, currency: string): void {
  const quantity = line.quantity === null ? '' : `${line.quantity.toDecimalPlaces(3).toFixed()} ${line.unit ?? ''}`;
  row(pdf, [
    line.description,
    quantity,
    line.unitPrice?.toFixed() ?? '',
    `${line.contractedCost.toFixed(2)} ${currency}`,
  ]);
}

function foot(pdf: Pdf, { total, currency, missing, gaps }: Statement): void {
  rule(pdf);
  row(pdf, ['Total', '', '', `${total.toFixed(2)} ${currency}`], { bold: true });
  pdf.moveDown(1);
  pdf.font('Helvetica').fontSize(8).fillColor(faint);
  pdf.text(
    'Each line is rounded to cents by itself. Months are those of UTC. What comes late is a correction of a later month.',
    { width: 480 },
  );
  if (gaps.length > 0)
    pdf.text(`The cluster was not looked at ${gaps.length} times: what began and ended then is not charged.`, {
      width: 480,
    });
  for (const each of missing) pdf.text(latin(`Missing: ${each}`), { width: 480 });
}
