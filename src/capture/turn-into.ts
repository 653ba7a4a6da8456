/** Ready-made objects get the methods of a subclass, and their users notice nothing. */

type Subclass = { readonly prototype: object };

/**
 * One step for all the methods together, which shows less than fields of the object's own would.
 *
 * @returns false for an object of some other class than the one that is extended, and a frozen one; nothing is changed
 *   then.
 */
export function turnInto(object: object, { prototype }: Subclass): boolean {
  if (Object.getPrototypeOf(object) !== Object.getPrototypeOf(prototype)) return false;
  return Reflect.setPrototypeOf(object, prototype);
}

/** Whoever asks an object for its class is told the one it was made by. */
export function passForParent(subclass: Subclass): void {
  Object.defineProperty(subclass.prototype, "constructor", { value: Object.getPrototypeOf(subclass) });
}
