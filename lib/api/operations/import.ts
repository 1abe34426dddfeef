import { ImportAnswer, ImportInput, importDocuments } from '#lib/import/index.ts';
import { operatorOperation, type Operation } from '../operation.ts';

export const imports: Operation[] = [
  operatorOperation(
    'operator:change',
    {
      id: 'importDocuments',
      method: 'POST',
      path: '/operator/import',
      tag: 'Operators',
      summary: 'Enter clusters, pools, rate cards, forges and cache servers from documents',
      description:
        'All of it is kept or none. What is there already as the documents say is left as it is, so that the same import may be made again and again.',
      body: ImportInput,
      answer: ImportAnswer,
    },
    async (by, { body, now }) => importDocuments(by, body, now),
  ),
];
