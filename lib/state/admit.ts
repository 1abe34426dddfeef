/* Whether a state that a program sends may follow what is kept. */

export type Kept = { kind: 'write' | 'rollback' | 'purge'; serial: bigint | null; lineage: string | null; md5: string };

export type Sent = {
  serial: bigint | null;
  lineage: string | null;
  md5: string;
  /** The lock that the program says it holds. */
  lockId: string | null;
};

export type Present = {
  /** The lock that is held. */
  lockId: string | null;
  latest: Kept | null;
  /** The lineage of what is kept, where any since it was last emptied told one. */
  lineage: string | null;
  /** The highest serial that was ever kept of the lineage that is sent. */
  topSerial: bigint | null;
};

/** `same`: it is there already, as when a program repeats a request whose answer was lost. */
export type Admission = { kind: 'keep' } | { kind: 'same' } | { kind: 'refuse'; why: string; todo: string };

function refuse(why: string, todo: string): Admission {
  return { kind: 'refuse', why, todo };
}

/** A state goes forward: under the lock if one is held, in its own lineage, and with a serial above all before it. */
export function admit(sent: Sent, present: Present): Admission {
  const ofLock = refusedByLock(sent, present);
  if (ofLock) return ofLock;
  const { latest, lineage, topSerial } = present;
  if (latest && latest.kind !== 'purge' && latest.md5 === sent.md5 && latest.serial === sent.serial)
    return { kind: 'same' };
  if (lineage !== null && sent.lineage !== null && lineage !== sent.lineage)
    return refuse(
      `The state is of lineage ${sent.lineage}; this stack’s is ${lineage}.`,
      'Check that the backend names the right stack; another state belongs in a stack of its own.',
    );
  if (sent.serial === null)
    return sent.lockId === null
      ? refuse('The state tells no serial, and no lock is held that would order it.', 'Work with locking on.')
      : { kind: 'keep' };
  if (topSerial !== null && sent.serial <= topSerial)
    return refuse(
      `Serial ${sent.serial} was sent, and serial ${topSerial} is kept.`,
      'Fetch the newest state and run again; what was sent is older, or was made beside it.',
    );
  return { kind: 'keep' };
}

function refusedByLock({ lockId: sent }: Sent, { lockId: held }: Present): Admission | null {
  if (held !== null && sent === null)
    return refuse(
      `The state is locked by ${held}, and no lock was named.`,
      'Wait until it is unlocked, then run again.',
    );
  if (held !== null && sent !== held)
    return refuse(
      `The state is locked by ${held}, and ${sent} was named.`,
      'Wait until it is unlocked, then run again.',
    );
  if (held === null && sent !== null)
    return refuse(
      `The lock ${sent} is no longer held.`,
      'Somebody took it away: fetch the newest state and run again.',
    );
  return null;
}
