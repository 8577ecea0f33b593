#pragma once
#include "shunt/program/builder.hpp"
#include "shunt/program/dependencies.hpp"
#include "shunt/program/interrupted.hpp"
#include "shunt/program/program.hpp"
#include "shunt/program/renumbered.hpp"
#include "shunt/program/timeline.hpp"
