"""Names that a layer cannot have, since the network that holds it already uses them."""

_NAMES = """
    add_module apply attach bfloat16 buffers call_super_init children compile cpu cuda
    double dump_patches effective_parameter effective_weights eval extra_repr float
    forward get_buffer get_extra_state get_parameter get_specs get_submodule half input
    input_dim ipu load_state_dict modules mtia named_buffers named_children named_modules
    named_parameters parameters register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook regularizers requires_grad_
    set_extra_state set_step set_submodule share_memory state_dict to to_empty train
    training type verify xpu zero_grad
"""
RESERVED = frozenset(_NAMES.split())
