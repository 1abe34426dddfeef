import { RowName } from '#components/ui/table.tsx';

export function ClusterName({ id, name }: { id: string; name: string }) {
  return <RowName href={`/operator/clusters/${id}`} name={name} id={id} />;
}
