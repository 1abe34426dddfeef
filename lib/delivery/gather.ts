/**
 * What asks while so many earlier questions are under way waits, and is then asked for in one go: a commit, which is what takes
 * the time, is paid once for all who wait, and what comes in meanwhile is worked on while another commit is waited for. Who
 * comes alone is not kept waiting longer than for who came with it.
 */
export function gathered<In, Out>(
  { most, atOnce }: { most: number; atOnce: number },
  ask: (items: In[]) => Promise<Out[]>,
): (item: In) => Promise<Out> {
  type Waiting = { item: In; resolve: (answer: Out) => void; reject: (error: unknown) => void };
  const waiting: Waiting[] = [];
  let underWay = 0;
  let isCalled = false;

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

  function begin(): void {
    isCalled = false;
    while (waiting.length > 0 && underWay < atOnce) {
      underWay += 1;
      void answer(waiting.splice(0, most)).finally(() => {
        underWay -= 1;
        call();
      });
    }
  }

  /** After what has arrived by now was read: it is asked for together. */
  function call(): void {
    if (isCalled || waiting.length === 0 || underWay >= atOnce) return;
    isCalled = true;
    setImmediate(begin);
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      call();
    });
}
