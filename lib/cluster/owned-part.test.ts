import { expect, test } from 'vitest';
import { ownedPart, type ManagedObject } from './owned-part.ts';

const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {
    name: 'cache',
    namespace: 'bazel-cmux',
    uid: 'u',
    resourceVersion: '7',
    labels: { ours: 'x', theirs: 'y' },
    annotations: { 'flywheel.dev/applied': 'h', 'deployment.kubernetes.io/revision': '1' },
    finalizers: ['ours/f', 'theirs/f'],
    managedFields: [
      {
        manager: 'flywheel',
        operation: 'Apply',
        fieldsV1: {
          'f:metadata': {
            'f:labels': { 'f:ours': {} },
            'f:annotations': { 'f:flywheel.dev/applied': {} },
            'f:finalizers': { 'v:"ours/f"': {} },
          },
          'f:spec': {
            'f:replicas': {},
            'f:selector': {},
            'f:template': {
              'f:spec': {
                'f:containers': {
                  'k:{"name":"cache"}': {
                    '.': {},
                    'f:name': {},
                    'f:image': {},
                    'f:args': {},
                    'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } },
                    'f:env': { '.': {} },
                  },
                },
              },
            },
          },
        },
      },
      { manager: 'flywheel', subresource: 'status', fieldsV1: { 'f:status': { 'f:replicas': {} } } },
      { manager: 'kube-controller-manager', fieldsV1: { 'f:spec': { 'f:paused': {} } } },
    ],
  },
  spec: {
    replicas: 1,
    paused: false,
    progressDeadlineSeconds: 600,
    selector: { matchLabels: { a: 'b' } },
    template: {
      spec: {
        dnsPolicy: 'ClusterFirst',
        containers: [
          { name: 'theirs', image: 'sidecar' },
          {
            name: 'cache',
            image: 'i',
            args: ['--a', '--b'],
            terminationMessagePath: '/dev/termination-log',
            ports: [
              { containerPort: 81, protocol: 'TCP' },
              { containerPort: 80, protocol: 'TCP' },
            ],
            env: [],
          },
        ],
      },
    },
  },
  status: { replicas: 1 },
} as unknown as ManagedObject;

test('what was applied, and nothing that defaults, controllers or others put beside it', () => {
  expect(ownedPart(deployment, 'flywheel')).toEqual({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: 'cache',
      namespace: 'bazel-cmux',
      labels: { ours: 'x' },
      annotations: { 'flywheel.dev/applied': 'h' },
      finalizers: ['ours/f'],
    },
    spec: {
      replicas: 1,
      selector: { matchLabels: { a: 'b' } },
      template: {
        spec: {
          containers: [
            {
              name: 'cache',
              image: 'i',
              args: ['--a', '--b'],
              ports: [{ containerPort: 80, protocol: 'TCP' }],
              env: [],
            },
          ],
        },
      },
    },
  });
});

test('what was made and applied since is one part; what another made is none', () => {
  const namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: 'n',
      labels: { a: '1', b: '2', c: '3' },
      managedFields: [
        { manager: 'flywheel', fieldsV1: { 'f:metadata': { 'f:labels': { '.': {}, 'f:a': {} } } } },
        { manager: 'flywheel', fieldsV1: { 'f:metadata': { 'f:labels': { 'f:b': {} } } } },
        { manager: 'kubectl', fieldsV1: { 'f:metadata': { 'f:labels': { 'f:c': {} } } } },
      ],
    },
  } as unknown as ManagedObject;
  expect(ownedPart(namespace, 'flywheel')?.metadata.labels).toEqual({ a: '1', b: '2' });
  expect(ownedPart(namespace, 'helm')).toBeNull();
});
