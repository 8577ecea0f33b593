#pragma once
#include "shunt/gloo/agreement.hpp"
#include "shunt/gloo/mesh.hpp"
