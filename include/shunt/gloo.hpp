#pragma once
#include "shunt/gloo/addresses.hpp"
#include "shunt/gloo/agreement.hpp"
#include "shunt/gloo/config.hpp"
#include "shunt/gloo/invitation.hpp"
#include "shunt/gloo/meeting.hpp"
#include "shunt/gloo/mesh.hpp"
#include "shunt/gloo/processes.hpp"
