import { givenUp, sharingAtForge, sharingLabel, sharings, sharingWords } from '#lib/model/index.ts';

/** Shared or dedicated, as every form says it before it is chosen. */
export const sharingChoice = {
  choices: sharings.map((value) => ({ value, title: sharingLabel[value], words: sharingWords[value] })),
  givenUp,
  atForge: Object.values(sharingAtForge),
};
