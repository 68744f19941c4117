/** `welcome.ts`, as CommonJS. */

/** Says whether the message was sent, is to be tried again, or never will be. */
async function sendWelcome(transporter, user) {
  try {
    await transporter.sendMail({
      from: 'hello@shop.example',
      to: user.email,
      subject: `Welcome, ${user.name}!`,
      text: 'It is good to have you.',
    })
    return 'sent'
  } catch (error) {
    // Final is only the receiver's own no. A refusal (EMTASTS) is temporary, as is all the rest
    return error.permanent === true ? 'never' : 'later'
  }
}

/** Welcomes everybody in the queue. Who has to wait is in the queue that is returned. */
async function welcomeAll(transporter, queue) {
  const waiting = []
  for (const user of queue) {
    if ((await sendWelcome(transporter, user)) === 'later') waiting.push(user)
  }
  return waiting
}

module.exports = { sendWelcome, welcomeAll }
