"""What is known of Lightspeed Core and Llama Stack: their keys, rules, images and versions."""
