/**
 * What asks while an earlier question is under way waits, and is then asked for in one go: a commit, which is what takes
 * the time, is paid once for all who wait. Who comes alone is not kept waiting.
 */
export function gathered<In, Out>(most: number, ask: (items: In[]) => Promise<Out[]>): (item: In) => Promise<Out> {
  type Waiting = { item: In; resolve: (answer: Out) => void; reject: (error: unknown) => void };
  const waiting: Waiting[] = [];
  let isUnderWay = false;

  async function answer(together: Waiting[]): Promise<void> {
    try {
      const answers = await ask(together.map(({ item }) => item));
      for (const [place, { resolve }] of together.entries()) resolve(answers[place] as Out);
    } catch (error) {
      // One that cannot be answered must not take the others with it.
      if (together.length > 1) await Promise.all(together.map((each) => answer([each])));
      else together[0]?.reject(error);
    }
  }

  async function answerAll(): Promise<void> {
    isUnderWay = true;
    while (waiting.length > 0) await answer(waiting.splice(0, most));
    isUnderWay = false;
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (!isUnderWay) void answerAll();
    });
}
