import { Validator } from '@seriousme/openapi-schema-validator';
import { describe, expect, test } from 'vitest';
import { openApiDocument } from './openapi.ts';
import { find, operations } from './table.ts';

const id = '0193a3c0-0000-7000-8000-000000000000';
const examples: Record<string, string> = { tenant: 'acme', enrollment: 'app', stack: 'main' };

describe('the description of the API', () => {
  test('is OpenAPI 3.1', async () => {
    const result = await new Validator().validate(structuredClone(openApiDocument()));
    expect(result).toMatchObject({ valid: true });
  });

  test('a description that is none is refused', async () => {
    const { paths: _, ...rest } = openApiDocument();
    expect(await new Validator().validate({ ...rest, info: {} })).toMatchObject({ valid: false });
  });

  test('names each operation once, and its address finds that very operation', () => {
    expect(new Set(operations.map(({ id }) => id)).size).toBe(operations.length);
    for (const operation of operations) {
      const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => examples[name] ?? id);
      expect(find(operation.method, path)).toMatchObject({ operation: { id: operation.id } });
    }
  });

  test('what it does not have is told apart from what it has by another method', () => {
    expect(find('GET', '/nothing')).toBeNull();
    expect(find('DELETE', '/me')).toEqual({ allowed: ['GET'] });
    expect(find('HEAD', '/me')).toMatchObject({ operation: { id: 'getMe' } });
    expect(find('GET', '/tenants/%E0%A4%A')).toBeNull();
    expect(find('GET', '/tenants/a%2Fb')).toBeNull();
    expect(find('GET', '/tenants/acme/enrollments/my%2Dapp')).toMatchObject({ params: { enrollment: 'my-app' } });
    expect(find('GET', '/tenants/acme/plans/none')).toBeNull();
  });

  test('a list is in pages, each of which says where the next begins', () => {
    const lists = operations.filter(({ method, id }) => method === 'GET' && id.startsWith('list'));
    expect(lists.length).toBeGreaterThan(15);
    for (const { id, path } of lists) {
      const { paths } = openApiDocument() as {
        paths: Record<string, { get: { parameters: { name: string }[] } }>;
      };
      expect([id, ...(paths[path]?.get.parameters.map(({ name }) => name) ?? [])]).toContain('cursor');
    }
  });
});
