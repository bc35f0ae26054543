"""The scored classifier: wrappers, margins, Hessians, the smoothness check, precision."""
