/**
 * Import: what operators enter by documents. Clusters, pools, rate cards, forges and cache servers.
 *
 * It promises one transaction: all of it is there afterwards or none; that a second import of the same changes nothing and says so;
 * that a dry run says what an import would do and keeps nothing; and that no secret stands in a document, in what is answered or in
 * the audit. What a page would try before it keeps it is tried here, too.
 *
 * It may touch the database, and forges and cache servers by the rooms below. How each thing is kept is theirs to say.
 */
export { importDocuments, ImportAnswer, ImportInput } from './import.ts';
export { operatorKinds } from './kinds.ts';
