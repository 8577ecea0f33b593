#pragma once
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/executor.hpp"
#include "shunt/gloo/join_request.hpp"
#include "shunt/gloo/membership.hpp"
#include "shunt/gloo/mesh.hpp"
#include "shunt/gloo/process_end.hpp"
