import { describe, expect, test } from 'vitest';
import { Expression, hclString, hclValue } from './hcl-text.ts';
import type { KubernetesObject } from './objects.ts';
import { tofuConfiguration } from './tofu-text.ts';

describe('HCL', () => {
  test.each([
    ['a template', '${x} %{ if y } $${z}', String.raw`"\u0024{x} \u0025{ if y } \u0024\u0024{z}"`],
    ['quotes and lines', 'a"b\\c\nd\te\r', String.raw`"a\"b\\c\nd\te\r"`],
    ['what is not seen', '\u0000\u202E\uFEFF', String.raw`"\u0000\u202e\ufeff"`],
  ])('a text with %s', (_, text, written) => expect(hclString(text)).toBe(written));

  test('values, an item a line', () => {
    const value = {
      a: 1,
      'b.c': [true, null, 'x'],
      e: {},
      f: [],
      g: new Expression('var.g'),
      null: 1e21,
      h: -0,
      i: undefined,
    };
    expect(hclValue(value)).toBe(`{
  a = 1
  "b.c" = [
    true,
    null,
    "x",
  ]
  e = {}
  f = []
  g = var.g
  "null" = 1e21
  h = 0
}`);
  });

  test.each([Number.NaN, 1n, () => 1, Symbol('x')])('%s is no value', (value) =>
    expect(() => hclValue(value)).toThrow(TypeError),
  );
});

const secretValue = Buffer.from('very secret').toString('base64');

function secret(namespace: string, name: string): KubernetesObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: { namespace, name },
    data: { 'ca.crt': secretValue, key: secretValue },
  };
}

describe('a tenant’s configuration', () => {
  const text = tofuConfiguration('cmux', [secret('a-b', 'c'), secret('a', 'b-c')], 'flywheel');

  test('holds no value of a Secret', () => {
    expect(text).not.toContain(secretValue);
    expect(text).not.toContain('very secret');
    expect(text).toContain('== toset(["ca.crt", "key"])');
  });

  test('names each object once, also where their names become one word', () => {
    const names = [...text.matchAll(/^resource "kubernetes_manifest" "(\w+)"/gm)].map(([, name]) => name);
    expect(names).toEqual(['secret_a_b_c', 'secret_a_b_c_2']);
    expect(text).toContain('data = var.secrets["a/b-c"]');
    expect(text).toContain('data = var.secrets["a-b/c"]');
  });
});
