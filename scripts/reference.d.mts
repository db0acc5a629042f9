/** Every generated file of docs/reference: name and text. */
export function referencePages(): Readonly<Record<string, string>>;
