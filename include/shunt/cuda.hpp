#pragma once
#include "shunt/cuda/buffer.hpp"
#include "shunt/cuda/device.hpp"
#include "shunt/cuda/error.hpp"
#include "shunt/cuda/event.hpp"
#include "shunt/cuda/graph.hpp"
#include "shunt/cuda/profile_range.hpp"
#include "shunt/cuda/stream.hpp"
#include "shunt/cuda/system.hpp"
#if __has_include(<cublasLt.h>)
#include "shunt/cuda/cublas_products.hpp"
#include "shunt/cuda/training_device.hpp"
#endif
