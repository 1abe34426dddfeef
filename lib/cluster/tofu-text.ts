import { namespacesOf } from '#lib/model/index.ts';
import { Expression, hclString, hclValue } from './hcl-text.ts';
import { managedBy, tenantLabel, type KubernetesObject } from './objects.ts';

/* Kubernetes objects as an OpenTofu configuration that takes them over as they are. */

function word(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9]/g, '_');
}

/** One name for each object, that says what it is. Different names may become one word, so a count tells those apart. */
function addresses(objects: readonly KubernetesObject[]): string[] {
  const taken = new Map<string, number>();
  return objects.map(({ kind, metadata }) => {
    const parts = [kind, metadata.namespace, metadata.name].flatMap((part) => (part === undefined ? [] : word(part)));
    const name = parts.join('_').toLowerCase();
    const before = taken.get(name) ?? 0;
    taken.set(name, before + 1);
    return before === 0 ? name : `${name}_${before + 1}`;
  });
}

function importId({ apiVersion, kind, metadata: { namespace, name } }: KubernetesObject): string {
  const of = namespace === undefined ? '' : `,namespace=${namespace}`;
  return `apiVersion=${apiVersion},kind=${kind}${of},name=${name}`;
}

function isSecret({ kind }: KubernetesObject): boolean {
  return kind === 'Secret';
}

function keysOf(object: KubernetesObject): string[] {
  return Object.keys(object['data'] ?? {}).toSorted();
}

/** What a Secret is called among the values that are not in the file. */
function secretKey({ metadata: { namespace, name } }: KubernetesObject): string {
  return `${namespace ?? ''}/${name}`;
}

/** One variable for the values of all Secrets, each of which must be there with exactly its keys. */
function secretsVariable(secrets: readonly KubernetesObject[]): string {
  const validations = secrets.map((secret) => {
    const key = hclString(secretKey(secret));
    const keys = `[${keysOf(secret).map(hclString).join(', ')}]`;
    return `
  validation {
    condition     = toset(keys(lookup(var.secrets, ${key}, {}))) == toset(${keys})
    error_message = ${hclString(`Secret ${secretKey(secret)} has exactly these keys: ${keysOf(secret).join(', ')}.`)}
  }
`;
  });
  return `variable "secrets" {
  description = "The values of each Secret, in base64, by its namespace/name."
  type        = map(map(string))
  sensitive   = true
${validations.join('')}}
`;
}

function resourceBlock(object: KubernetesObject, address: string, manager: string): string {
  const manifest = isSecret(object)
    ? { ...object, data: new Expression(`var.secrets[${hclString(secretKey(object))}]`) }
    : object;
  return `import {
  to = kubernetes_manifest.${address}
  id = ${hclString(importId(object))}
}

resource "kubernetes_manifest" "${address}" {
  manifest = ${hclValue(manifest, '  ')}
  field_manager {
    name = ${hclString(manager)}
  }
}
`;
}

/** Beginning of the file: what it is, and what is to be done. `slug` has nothing that a comment or a shell reads otherwise. */
function head(slug: string): string {
  const own = Object.values(namespacesOf(slug))
    .map((name) => `"${name}"`)
    .join(', ');
  const selector = `app.kubernetes.io/managed-by=${managedBy},${tenantLabel}=${slug}`;
  return `# What tenant ${slug} has in its cluster, as the portal applied it. To go on without the portal:
#
#   1. Make the file with the values of the Secrets, which are not in here. Keep it as you keep keys.
#
#      kubectl get secrets -A -l '${selector}' -o json |
#        jq '{secrets: [.items[] | select(.metadata.namespace | IN(${own})) | {key: "\\(.metadata.namespace)/\\(.metadata.name)", value: .data}] | from_entries}' \\
#        > secrets.auto.tfvars.json
#
#   2. tofu init && tofu plan: everything is imported, nothing is added, changed in the cluster or removed. Where the plan says
#      "changed", it is OpenTofu's own record that takes up the manifest; the object stays as it is. (In a runner set the provider
#      writes a CPU of "2" as 2, which is the same quantity.)
#   3. tofu apply. From then on a plan finds no change. Fields stay owned by the portal's field manager, whose place you take:
#      the annotation flywheel.dev/applied is the portal's own note and may go.
#   4. Only now leave the portal to this: whoever of the two applies last has it their way.
#
# What is not in the cluster is not in here: registrations at the forge, the cache's views, roles, usage.
`;
}

/** Every object of a tenant as one file. No value of a Secret is in it. */
export function tofuConfiguration(slug: string, objects: readonly KubernetesObject[], manager: string): string {
  const names = addresses(objects);
  const secrets = objects.filter(isSecret);
  return [
    head(slug),
    `terraform {
  required_version = ">= 1.5"
  required_providers {
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.35"
    }
  }
}
`,
    `variable "kubeconfig" {
  description = "The kubeconfig that reaches the cluster."
  type        = string
  default     = "~/.kube/config"
}

variable "kubeconfig_context" {
  description = "Its context; the current one where this is null."
  type        = string
  default     = null
}

provider "kubernetes" {
  config_path    = var.kubeconfig
  config_context = var.kubeconfig_context
}
`,
    ...(secrets.length === 0 ? [] : [secretsVariable(secrets)]),
    ...objects.map((object, index) => resourceBlock(object, names[index] ?? '', manager)),
  ].join('\n');
}
