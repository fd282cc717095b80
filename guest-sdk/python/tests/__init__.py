"""The SDK outside of the sandbox, with the stand-in for the host."""
