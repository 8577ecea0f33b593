#include "everything.hpp"

int other();
int other() { return 0; }
