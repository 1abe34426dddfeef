import { expect, test } from 'vitest';
import { placeOf } from './told.ts';

test('a trace says where a request went, and nothing that opens something', () => {
  expect(placeOf('https://ghe.example/api/v3/app-manifests/c0de/conversions?a=b', 'forge')).toEqual({
    'server.address': 'ghe.example',
    'url.path': '/api/v3/app-manifests/{code}/conversions',
  });
  expect(placeOf('https://hooks.example/services/s3cret?t=s3cret', 'webhook')).toEqual({
    'server.address': 'hooks.example',
  });
});
