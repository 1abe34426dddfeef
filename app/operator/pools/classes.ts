import { securityClasses, securityClassWords } from '#lib/model/index.ts';

/** The security classes with the words that an operator reads before choosing. */
export const classChoices = securityClasses.map((value) => ({ value, ...securityClassWords[value] }));
