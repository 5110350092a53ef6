/** Stands for Mosaic, which only embedding-atlas' other view needs: with it would come a whole database. */

export const coordinator = (): null => null;
export const makeClient = (): null => null;
export const isSelection = (): boolean => false;
