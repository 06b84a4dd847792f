"""What the checks under compliance/ share: processes to test, frames on raw sockets, and counting. Standard library only."""
