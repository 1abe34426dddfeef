/** @type {import('next').NextConfig} */
const config = {
  poweredByHeader: false,
  reactStrictMode: true,
  devIndicators: false,
  // The image optimizer fetches and decodes what it is told to; we show no pictures that need it.
  images: { unoptimized: true },
  // `npm test` checks types, of tests and all; a start on a fresh machine need not wait for them a second time.
  typescript: { ignoreBuildErrors: true },
  serverExternalPackages: [
    'pino',
    'pg',
    '@prisma/adapter-pg',
    '@kubernetes/client-node',
    'undici',
    'pdfkit',
    'prom-client',
    '@opentelemetry/api',
    '@opentelemetry/exporter-trace-otlp-http',
    '@opentelemetry/resources',
    '@opentelemetry/sdk-trace',
  ],
  // What a person sees is theirs alone and changes under them: nothing rendered is kept in the browser's router.
  experimental: { staleTimes: { dynamic: 0, static: 30 } },
};

export default config;
