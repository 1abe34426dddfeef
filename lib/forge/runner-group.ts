/** Runner groups whose name begins so are ours; every other group is somebody else's and is left alone. */
export const runnerGroupPrefix = 'flywheel-';
