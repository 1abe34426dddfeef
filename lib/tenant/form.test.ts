import { expect, test } from 'vitest';
import { formObject, typedValues } from './form.ts';

function form(...fields: [string, string][]): FormData {
  const data = new FormData();
  for (const [name, value] of fields) data.append(name, value);
  return data;
}

test('names nest and lists gather', () => {
  const data = form(['a.b', '1'], ['a.c', '2'], ['list[]', 'x'], ['list[]', 'y'], ['$ACTION_ID_1', '']);
  expect(JSON.parse(JSON.stringify(formObject(data)))).toEqual({ a: { b: '1', c: '2' }, list: ['x', 'y'] });
});

test.each([
  ['__proto__.polluted', 'yes'],
  ['a.constructor.prototype', 'yes'],
  ['a.b.c.d.e.f', 'too deep'],
  ['a..b', 'empty part'],
])('A27: %s is no form of ours', (name, value) => {
  expect(formObject(form([name, value]))).toBeNull();
  expect(({} as { polluted?: string }).polluted).toBeUndefined();
});

test('a field that is given twice, or both a value and a group, is refused', () => {
  expect(formObject(form(['a', '1'], ['a', '2']))).toBeNull();
  expect(formObject(form(['a', '1'], ['a.b', '2']))).toBeNull();
  expect(formObject(form(['a[]', '1'], ['a', '2']))).toBeNull();
});

test('what was typed comes back by name, without files and React’s own fields', () => {
  const data = form(['slug', 'acme'], ['$ACTION_KEY', 'k']);
  data.append('file', new Blob(['x']), 'x.txt');
  expect(typedValues(data)).toEqual({ slug: 'acme' });
});

test('A23: a secret that was typed is not sent back', () => {
  const form = new FormData();
  for (const name of ['privateKey', 'token', 'credential.token', 'secret', 'password', 'name', 'tokenName'])
    form.append(name, 'canary');
  expect(Object.keys(typedValues(form))).toEqual(['name', 'tokenName']);
});
