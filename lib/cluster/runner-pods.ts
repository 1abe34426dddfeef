import { credentialsSecretName } from './github-objects.ts';
import {
  managedBy,
  poolLabel,
  runtimeClassesAnnotation,
  tenantLabel,
  tolerationsAnnotation,
  type KubernetesObject,
} from './objects.ts';

/*
 * What every pod in a tenant's namespaces is held to by the API server itself, whoever makes it: ARC, gitlab-runner, a
 * Deployment of ours or somebody with a right too many (A17). Pod Security `restricted`, which those namespaces enforce, has
 * some of it; it goes with a label of the namespace, and knows nothing of tokens, nodes, limits and images.
 *
 * It is an object of the cluster and no tenant's: an operator applies it (sandbox/control-plane/runner-pods.yaml is these
 * objects, which a test keeps so), and the portal only looks whether it is there.
 *
 * Facts: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ (CEL, GA in 1.30; optional
 * fields `.?` from 1.29). It runs after what fills pods in, so it sees LimitRange's limits, the volume of a service account's
 * token and the two tolerations that every pod gets.
 */

export const runnerPodsPolicy = 'flywheel-runner-pods';
/** What the portal says of the catalog on the namespace; an annotation that is not there is one that says nothing. */
const said = (annotation: string) => `namespaceObject.metadata.?annotations[?'${annotation}'].orValue('').split(',')`;
const everyPodGets = ['not-ready', 'unreachable', 'memory-pressure'].map((each) => `'node.kubernetes.io/${each}'`);

type Rule = { name: string; says: string; expression: string };

const containers = (condition: string) => `variables.containers.all(c, ${condition})`;
const volumes = (condition: string) => `variables.volumes.all(v, ${condition})`;
/** What registers runners at a forge: an App's key, and a GitLab manager's token. */
const credentials = `'${credentialsSecretName('')}$|-gitlab$'`;

const variables: { name: string; expression: string }[] = [
  { name: 'containers', expression: 'object.spec.containers + object.spec.?initContainers.orValue([])' },
  { name: 'volumes', expression: 'object.spec.?volumes.orValue([])' },
  { name: 'account', expression: "object.spec.?serviceAccountName.orValue('default')" },
  { name: 'isCache', expression: "request.namespace.startsWith('bazel-')" },
  {
    // GitLab's manager speaks to the API server. A tenant's own account, which is the manager's, makes none.
    name: 'isManager',
    expression: [
      "!variables.isCache && variables.account.endsWith('-gitlab')",
      `!('${poolLabel}' in object.metadata.?labels.orValue({}))`,
      "!request.userInfo.username.startsWith('system:serviceaccount:' + request.namespace + ':')",
    ].join(' && '),
  },
  { name: 'runsJobs', expression: '!variables.isCache && !variables.isManager' },
];

export const runnerPodRules: readonly Rule[] = [
  {
    name: 'privileged',
    says: 'no container is privileged',
    expression: containers('!c.?securityContext.?privileged.orValue(false)'),
  },
  {
    name: 'privilege-escalation',
    says: 'every container sets allowPrivilegeEscalation to false',
    expression: containers('!c.?securityContext.?allowPrivilegeEscalation.orValue(true)'),
  },
  {
    name: 'capabilities',
    says: 'every container drops ALL capabilities and adds none',
    expression: containers(
      "'ALL' in c.?securityContext.?capabilities.?drop.orValue([]) && c.?securityContext.?capabilities.?add.orValue([]).size() == 0",
    ),
  },
  {
    name: 'root',
    says: 'every container sets runAsNonRoot, by itself or by the pod, and none is user 0',
    expression: [
      'object.spec.?securityContext.?runAsUser.orValue(1) != 0',
      containers(
        'c.?securityContext.?runAsNonRoot.orValue(object.spec.?securityContext.?runAsNonRoot.orValue(false)) && c.?securityContext.?runAsUser.orValue(1) != 0',
      ),
    ].join(' && '),
  },
  {
    name: 'seccomp',
    says: 'every container has a seccomp profile, by itself or by the pod',
    expression: containers(
      "c.?securityContext.?seccompProfile.?type.orValue(object.spec.?securityContext.?seccompProfile.?type.orValue('Unconfined')) != 'Unconfined'",
    ),
  },
  {
    name: 'proc-mount',
    says: 'no container unmasks /proc',
    expression: containers("c.?securityContext.?procMount.orValue('Default') == 'Default'"),
  },
  { name: 'host-pid', says: 'not among the processes of the node', expression: '!object.spec.?hostPID.orValue(false)' },
  { name: 'host-ipc', says: 'not in the IPC of the node', expression: '!object.spec.?hostIPC.orValue(false)' },
  {
    name: 'host-network',
    says: 'not in the network of the node',
    expression: '!object.spec.?hostNetwork.orValue(false)',
  },
  {
    name: 'host-ports',
    says: 'no container takes a port of the node',
    expression: containers('c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0)'),
  },
  {
    name: 'host-users',
    says: 'a pod that runs jobs sets hostUsers to false',
    expression: '!variables.runsJobs || !object.spec.?hostUsers.orValue(true)',
  },
  {
    name: 'volumes',
    says: 'no volume is of the node or of another storage: no hostPath, and a claim in the cache alone',
    expression: volumes(
      'has(v.emptyDir) || has(v.configMap) || has(v.secret) || has(v.projected) || has(v.downwardAPI) || (variables.isCache && has(v.persistentVolumeClaim))',
    ),
  },
  {
    name: 'node-name',
    says: 'the scheduler chooses the node',
    // Later it is there, because the scheduler chose.
    expression: "request.operation != 'CREATE' || object.spec.?nodeName.orValue('') == ''",
  },
  {
    name: 'placement',
    says: 'no affinity and no selection of one node, by which a pod could come beside another tenant’s',
    expression: [
      // gitlab-runner sends an empty one.
      "['nodeAffinity', 'podAffinity', 'podAntiAffinity'].all(kind, !(kind in object.spec.?affinity.orValue({})))",
      "!('kubernetes.io/hostname' in object.spec.?nodeSelector.orValue({}))",
    ].join(' && '),
  },
  {
    name: 'tolerations',
    says: `no toleration but those that every pod gets, and of taints that the namespace’s annotation ${tolerationsAnnotation} names`,
    // An empty key is every taint, and no annotation at all is a list of one empty key.
    expression: `object.spec.?tolerations.orValue([]).all(t, t.?key.orValue('') != '' && t.key in ([${everyPodGets.join(', ')}] + ${said(tolerationsAnnotation)}))`,
  },
  {
    name: 'priority',
    says: 'no priority of the system’s',
    expression: "!object.spec.?priorityClassName.orValue('').startsWith('system-')",
  },
  {
    name: 'service-account',
    says: 'as the account that was made for it',
    expression:
      "variables.isCache ? variables.account == 'default' : variables.isManager || ['-gha-rs-no-permission', '-gitlab-job', '-forgejo'].exists(suffix, variables.account.endsWith(suffix))",
  },
  {
    name: 'account-token',
    says: 'no token of the API server, nor another identity of the cluster’s',
    expression: `variables.isManager || (!object.spec.?automountServiceAccountToken.orValue(true) && ${volumes(
      'v.?projected.?sources.orValue([]).all(s, has(s.secret) || has(s.configMap) || has(s.downwardAPI))',
    )})`,
  },
  {
    name: 'forge-credentials-in-volumes',
    says: 'what registers runners is in no volume of a job',
    expression: `variables.isManager || ${volumes(
      `!v.?secret.?secretName.orValue('').matches(${credentials}) && v.?projected.?sources.orValue([]).all(s, !s.?secret.?name.orValue('').matches(${credentials}))`,
    )}`,
  },
  {
    name: 'forge-credentials-in-environment',
    says: 'nor in its environment',
    expression: containers(
      `c.?envFrom.orValue([]).all(e, !e.?secretRef.?name.orValue('').matches(${credentials})) && c.?env.orValue([]).all(e, !e.?valueFrom.?secretKeyRef.?name.orValue('').matches(${credentials}))`,
    ),
  },
  {
    name: 'node-identity',
    says: 'no container is told which node it is on',
    expression: containers(
      "c.?env.orValue([]).all(e, !(e.?valueFrom.?fieldRef.?fieldPath.orValue('') in ['spec.nodeName', 'status.hostIP', 'status.hostIPs']))",
    ),
  },
  {
    name: 'ephemeral-containers',
    says: 'no container is added later',
    expression: 'object.spec.?ephemeralContainers.orValue([]).size() == 0',
  },
  {
    name: 'runtime-class',
    says: `the runtime class is one that the namespace’s annotation ${runtimeClassesAnnotation} names, and none without it`,
    expression: `!variables.runsJobs || object.spec.?runtimeClassName.orValue('') in ${said(runtimeClassesAnnotation)}`,
  },
  {
    name: 'image-pull-policy',
    says: 'every image is pulled anew: the node’s copy of a private one is nobody else’s',
    expression: containers("c.?imagePullPolicy.orValue('') == 'Always'"),
  },
  {
    name: 'limits',
    says: 'every container has limits of cpu, memory and ephemeral-storage',
    expression: containers(
      "['cpu', 'memory', 'ephemeral-storage'].all(resource, resource in c.?resources.?limits.orValue({}))",
    ),
  },
  {
    name: 'deadline',
    says: 'a pod that runs one job ends some time: activeDeadlineSeconds',
    expression: "object.spec.?restartPolicy.orValue('Always') == 'Always' || has(object.spec.activeDeadlineSeconds)",
  },
];

const matched = {
  matchLabels: { 'app.kubernetes.io/managed-by': managedBy },
  matchExpressions: [{ key: tenantLabel, operator: 'Exists' }],
};

/** The policy and its binding, to be applied by an operator. Other rules and another selector are for tests. */
export function runnerPodsObjects(
  rules: readonly Rule[] = runnerPodRules,
  name = runnerPodsPolicy,
  namespaceSelector: object = matched,
): KubernetesObject[] {
  const apiVersion = 'admissionregistration.k8s.io/v1';
  const metadata = { name, labels: { 'app.kubernetes.io/managed-by': managedBy } };
  return [
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicy',
      metadata,
      spec: {
        failurePolicy: 'Fail',
        matchConstraints: {
          namespaceSelector,
          resourceRules: [
            {
              apiGroups: [''],
              apiVersions: ['v1'],
              operations: ['CREATE', 'UPDATE'],
              resources: ['pods', 'pods/ephemeralcontainers', 'pods/resize'],
            },
          ],
        },
        // A pod that is older than a rule must still be able to lose its finalizers.
        matchConditions: [
          {
            name: 'the-spec-is-new',
            expression: "request.operation == 'CREATE' || object.spec != oldObject.spec",
          },
        ],
        variables,
        validations: rules.map((rule) => ({
          expression: rule.expression,
          message: `${rule.name}: ${rule.says}`,
          reason: 'Forbidden',
        })),
      },
    },
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata,
      spec: { policyName: name, validationActions: ['Deny'] },
    },
  ];
}
