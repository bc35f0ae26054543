"""What is scored: wrappers of networks, margins, Hessians, the check of smoothness, precision."""
